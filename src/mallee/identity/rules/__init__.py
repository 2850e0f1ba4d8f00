"""Pure decisions: the policy language, and who may do what. No I/O, no clock, no database."""
