"""Every attack on identity and on objects that we know of, and where its test is. (A test here sees to it that each place is one.)

Who asks
  altered signatures, of every part of a request     tests/identity/test_sigv4.py::test_every_part_is_covered
                                                     tests/cloud/test_attacks_requests.py::test_a_body_cannot_be_exchanged
  replays, clocks that are wrong                     tests/cloud/test_attacks_requests.py::test_a_request_that_was_caught_is_good_for_minutes_and_for_nothing_else
  presigned requests used for something else         tests/cloud/test_attacks_requests.py::test_a_presigned_request_is_good_for_one_thing
  headers smuggled past the signature                tests/identity/test_sigv4.py::test_headers_that_were_smuggled_in
                                                     tests/cloud/test_attacks_requests.py::test_a_header_that_came_on_the_way
  headers and parameters given twice                 tests/identity/test_sigv4.py::test_a_header_sent_twice_is_not_picked_from
                                                     tests/cloud/test_attacks_requests.py::test_which_action_is_asked_is_which_is_done
                                                     tests/cloud/test_attacks_requests.py::test_a_parameter_given_twice_is_read_once
                                                     tests/cloud/test_attacks_requests.py::test_json_with_one_name_twice
  what version 2 does not sign                       tests/regressions/test_unsigned_parameters.py::test_a_form_that_version_2_did_not_sign
                                                     tests/regressions/test_unsigned_parameters.py::test_a_body_of_another_protocol_is_none_of_version_2
  no signature at all, of every operation            tests/cloud/test_attacks_requests.py::test_every_operation_wants_a_signature
                                                     tests/cloud/test_attacks_requests.py::test_what_nobody_signs_touches_nobody_s_account
  two signatures, tokens in two places               tests/cloud/test_attacks_requests.py::test_two_signatures_at_once
                                                     tests/cloud/test_attacks_requests.py::test_a_token_in_two_places
  another method, protocol or version                tests/cloud/test_attacks_requests.py::test_a_signed_method_is_the_method
                                                     tests/cloud/test_attacks_requests.py::test_another_protocol_is_no_way_around
                                                     tests/cloud/test_attacks_requests.py::test_versions_change_nothing
  addresses and TLS that a header claims             tests/cloud/test_attacks_requests.py::test_what_proxies_say_is_not_believed
  chunks of bodies, altered or moved                 tests/identity/test_chunks.py::test_chunks_cannot_be_dropped_repeated_reordered_or_taken_from_another_request
  the time that a look-up takes                      tests/identity/test_sessions.py::test_an_unknown_key_costs_what_a_wrong_secret_costs
                                                     tests/identity/test_passwords.py::test_a_name_that_is_nobodys_costs_the_same

Sessions
  tokens altered, cut, mixed, of another cloud       tests/identity/test_sessions.py::test_a_token_that_was_changed_anywhere_is_none
                                                     tests/cloud/test_attacks_accounts.py::test_a_token_that_was_altered_anywhere
                                                     tests/cloud/test_attacks_accounts.py::test_a_token_goes_with_its_own_key
                                                     tests/cloud/test_attacks_accounts.py::test_what_another_cloud_sealed_opens_nothing
  expired and revoked sessions                       tests/cloud/test_attacks_sessions.py::test_an_expired_session_is_over
                                                     tests/cloud/test_attacks_accounts.py::test_what_was_issued_before_a_revocation_is_void
                                                     tests/cloud/test_attacks_accounts.py::test_sessions_issued_before_a_moment_can_be_denied
  session policies got rid of by a chain             tests/cloud/test_attacks_escalation.py::test_a_chain_does_not_widen
                                                     tests/cloud/test_sts_assume_role.py::test_escalation_through_a_session_of_a_session
  session tags, source identity                      tests/cloud/test_attacks_escalation.py::test_session_tags_need_the_role_s_leave_and_one_s_own
                                                     tests/cloud/test_attacks_escalation.py::test_a_source_identity_stays
                                                     tests/regressions/test_tag_look_alikes.py::test_a_session_s_tag_does_not_hide_the_role_s_by_a_look_alike
  MFA: conditions, old sessions, others' devices     tests/cloud/test_attacks_escalation.py::test_what_needs_a_second_factor
                                                     tests/cloud/test_attacks_escalation.py::test_an_old_second_factor_is_old
                                                     tests/cloud/test_iam_mfa.py::test_guessed_codes_are_slowed_down
                                                     tests/cloud/test_iam_mfa.py::test_a_code_counts_once
  what is remembered for too long                    tests/cloud/test_attacks_sessions.py::test_what_was_taken_is_gone_at_once
                                                     tests/cloud/test_attacks_sessions.py::test_keys_end_at_once
                                                     tests/cloud/test_attacks_sessions.py::test_a_service_control_policy_counts_at_once
  answers that were remembered for somebody else     tests/cloud/test_attacks_sessions.py::test_an_answer_is_remembered_for_nobody_else
                                                     tests/cloud/test_attacks_sessions.py::test_an_answer_is_not_remembered_for_another_place_or_time
  an instance's credentials                          tests/cloud/test_attacks_sessions.py::test_an_instance_s_credentials_end_with_account_role_and_time
                                                     tests/cloud/test_instance_profiles.py::test_credentials_are_for_the_node_of_the_guest_alone

More than one was given
  the confused deputy                                tests/cloud/test_attacks_accounts.py::test_the_confused_deputy
                                                     tests/rules/test_policy_evaluation.py::test_the_confused_deputy_is_stopped_by_the_external_id
  policies, versions, groups, trust, keys            tests/cloud/test_attacks_escalation.py::test_the_permission_is_the_power
                                                     tests/cloud/test_attacks_escalation.py::test_passwords_of_others
                                                     tests/cloud/test_attacks_escalation.py::test_credentials_of_others_by_one_s_own_permission
  PassRole, in all ways                              tests/cloud/test_attacks_escalation.py::test_a_role_is_given_only_by_who_may_pass_it
                                                     tests/cloud/test_attacks_escalation.py::test_a_replay_does_not_pass_a_role_again
                                                     tests/cloud/test_iam_delegation.py::test_a_role_in_a_profile_is_passed
  boundaries and denies removed                      tests/cloud/test_attacks_escalation.py::test_a_boundary_is_not_taken_off_by_who_it_bounds
                                                     tests/cloud/test_attacks_escalation.py::test_a_boundary_holds_whatever_credentials_are_made
                                                     tests/cloud/test_attacks_escalation.py::test_denies_are_detached_only_by_who_may
  tags that open doors                               tests/cloud/test_attacks_escalation.py::test_tags_that_open_doors_are_put_on_only_by_who_may
                                                     tests/regressions/test_tag_look_alikes.py::test_a_tag_is_neither_replaced_nor_removed_by_a_look_alike
  service-linked roles                               tests/cloud/test_attacks_escalation.py::test_service_linked_roles_are_for_who_may_make_them
  ways around service control policies               tests/cloud/test_attacks_escalation.py::test_no_credentials_get_around_service_control_policies
  renaming, moving                                   tests/cloud/test_iam_delegation.py::test_a_rename_does_not_climb
  another AWS policy of the same name                tests/cloud/test_attacks_escalation.py::test_a_policy_is_its_whole_arn

What is authorised is what is done
  every operation asks                               tests/cloud/test_authorization_everywhere.py::test_nobody_may_do_anything
                                                     tests/cloud/test_attacks_agreement.py::test_a_deny_of_its_own_action_stops_every_operation
                                                     tests/cloud/test_attacks_agreement.py::test_what_is_asked_is_enough_and_needed
  names in other letters, lists, twice               tests/cloud/test_attacks_agreement.py::test_no_spelling_of_a_name_avoids_a_deny
                                                     tests/cloud/test_attacks_agreement.py::test_tags_given_twice_are_not_one_to_policies_and_another_to_the_operation
  another's client token                             tests/cloud/test_attacks_agreement.py::test_another_s_client_token_is_no_permission
                                                     tests/cloud/test_admin_accounts.py::test_a_token_is_no_password
  refusals that tell what there is                   tests/cloud/test_authorization_everywhere.py::test_a_refusal_does_not_tell_what_exists

Names
  paths and ARNs that nearly name something          tests/cloud/test_attacks_names.py::test_paths_are_paths_of_their_kind
                                                     tests/cloud/test_attacks_accounts.py::test_an_arn_that_nearly_names_somebody
                                                     tests/cloud/test_attacks_accounts.py::test_a_role_is_assumed_by_its_arn_alone
  Unicode, case, line ends, controls                 tests/cloud/test_attacks_names.py::test_what_is_no_name_is_none_anywhere
                                                     tests/cloud/test_attacks_names.py::test_every_pattern_ends_where_the_text_ends
                                                     tests/cloud/test_attacks_names.py::test_no_text_of_identity_is_matched_in_part
                                                     tests/regressions/test_characters_by_escape.py::test_what_only_an_escape_can_bring
  somebody else's name, used again                   tests/cloud/test_attacks_names.py::test_a_new_user_has_nothing_of_the_old_one_of_its_name
                                                     tests/cloud/test_attacks_names.py::test_a_new_role_has_nothing_of_the_old_one_of_its_name
                                                     tests/cloud/test_attacks_names.py::test_things_made_anew_have_no_tags
                                                     tests/regressions/test_namesakes.py::test_whoever_is_removed_leaves_nothing_to_a_namesake
  names that mean something elsewhere                tests/cloud/test_attacks_names.py::test_names_that_mean_something_elsewhere
                                                     tests/cloud/test_attacks_names.py::test_a_role_s_session_is_not_called_like_somebody

Other accounts
  another's resources, by every operation            tests/cloud/test_isolation.py::test_a_foreign_resource_is_a_missing_one
  closed accounts                                    tests/cloud/test_attacks_accounts.py::test_a_closed_account_is_closed_to_all_of_its_credentials
  ids and aliases that look alike                    tests/cloud/test_attacks_accounts.py::test_account_ids_with_leading_zeros
                                                     tests/cloud/test_attacks_accounts.py::test_aliases_that_could_be_taken_for_others
  wildcards that reach over the border               tests/cloud/test_attacks_accounts.py::test_a_wildcard_reaches_no_other_account
  messages and pages brought elsewhere               tests/cloud/test_attacks_accounts.py::test_a_message_is_decoded_by_its_own_account_alone
                                                     tests/cloud/test_attacks_accounts.py::test_a_page_is_of_one_list
  the administrators' service                        tests/cloud/test_attacks_accounts.py::test_nobody_administers_but_administrators
                                                     tests/cloud/test_attacks_accounts.py::test_the_account_that_set_the_cloud_up_is_its_own

Objects
  a name that another account takes over meanwhile   tests/cloud/test_attacks_objects.py::test_a_body_that_was_allowed_into_a_bucket_goes_into_no_namesake
                                                     tests/cloud/test_attacks_objects.py::test_a_bucket_that_is_remembered_opens_no_namesake
                                                     tests/cloud/test_attacks_objects.py::test_no_bucket_takes_the_host_of_an_access_point
                                                     tests/cloud/test_attacks_objects.py::test_another_account_s_access_point_does_not_keep_a_bucket
  headers that hide in an address                    tests/cloud/test_attacks_objects.py::test_no_header_hides_in_another_s_value
                                                     tests/cloud/test_attacks_objects.py::test_an_override_forges_no_header
                                                     tests/cloud/test_attacks_objects.py::test_what_a_configuration_says_forges_no_header
  redirects to other hosts                           tests/cloud/test_attacks_objects.py::test_a_website_sends_nobody_to_another_host_for_a_slash
  the bucket of images                               tests/cloud/test_attacks_objects.py::test_the_bucket_of_images_is_nobody_s_to_change
  confused deputies: roles of replication            tests/cloud/test_attacks_objects.py::test_a_role_of_the_same_name_is_no_role_to_replicate_with
                                                     tests/cloud/test_attacks_objects.py::test_a_public_policy_that_is_restricted_takes_no_replicas
  forms brought elsewhere                            tests/cloud/test_attacks_objects.py::test_a_form_is_for_its_own_bucket_and_key
  uploads begun by others                            tests/cloud/test_attacks_objects.py::test_an_upload_is_its_beginner_s_and_the_bucket_owner_s
  customers' keys                                    tests/cloud/test_attacks_objects.py::test_a_customer_s_key_is_for_its_own_object
  tags that are not those of the request             tests/cloud/test_attacks_objects.py::test_a_copied_tag_is_not_the_one_that_a_header_names
  locks: by expiry, metadata, another API            tests/cloud/test_attacks_objects.py::test_an_expiry_does_not_hide_what_is_locked
                                                     tests/cloud/test_attacks_objects.py::test_who_may_put_buries_no_version
  locks: by replication                              tests/cloud/test_attacks_objects.py::test_an_original_s_owner_does_not_unlock_its_replica
                                                     tests/cloud/test_attacks_objects.py::test_a_hold_that_came_with_the_original_goes_with_it
  locks: by what is remembered of a bucket           tests/regressions/test_locked_null_versions.py::test_nothing_replaces_it
  names of form fields that take forever             tests/regressions/test_slow_form_fields.py::test_no_disposition_takes_long
                                                     tests/regressions/test_slow_form_fields.py::test_such_a_form_is_answered
  numbers without an end                             tests/cloud/test_attacks_objects.py::test_a_number_without_an_end_is_a_number
  patterns that take forever                         tests/cloud/test_attacks_objects.py::test_a_pattern_of_a_select_takes_seconds_at_most
  manifests of manifests                             tests/cloud/test_attacks_objects.py::test_a_manifest_of_manifests_is_removed_in_bounded_time

Too much, too deep, too slow
  policy bombs                                       tests/rules/test_policy_grammar.py::test_a_bomb_is_refused
                                                     tests/rules/test_policy_wildcards.py::test_no_pattern_takes_long
                                                     tests/cloud/test_attacks_names.py::test_a_policy_bomb_is_bounded
                                                     tests/regressions/test_policy_memory.py::test_remembered_policies_are_bounded_by_their_size
  enormous requests and texts                        tests/cloud/test_attacks_requests.py::test_an_enormous_form_is_refused_in_bounded_time
                                                     tests/cloud/test_attacks_names.py::test_texts_without_an_end
  anything else                                      tests/cloud/test_attacks_fuzz.py::test_odd_inputs
                                                     tests/cloud/test_attacks_fuzz.py::test_odd_forms
                                                     tests/cloud/test_attacks_fuzz.py::test_odd_json
                                                     tests/cloud/test_attacks_fuzz.py::test_odd_policies
  two at the limit at once                           tests/cloud/test_attacks_sessions.py::test_two_at_once_do_not_both_get_the_last_place

Other people's word
  OIDC: none, confused and injected keys             tests/cloud/test_federation_web_identity.py::test_signatures_that_are_none
                                                     tests/cloud/test_federation_web_identity.py::test_a_key_that_the_token_brings_along
                                                     tests/cloud/test_federation_web_identity.py::test_keys_that_are_for_something_else
  OIDC: audience, issuer, times                      tests/cloud/test_federation_web_identity.py::test_claims_that_are_not_good
  OIDC: enormous, slow, redirecting providers        tests/cloud/test_federation_web_identity.py::test_answers_that_are_no_issuer_s
                                                     tests/cloud/test_federation_web_identity.py::test_a_slow_issuer_costs_seconds_and_only_its_own_account
  OIDC: requests to this machine                     tests/identity/test_federation_fetching.py::test_nothing_of_this_machine_is_asked
  SAML: wrapping, comments, bombs, replays           tests/cloud/test_federation_saml.py::test_signature_wrapping
                                                     tests/cloud/test_federation_saml.py::test_text_that_is_cut_by_comments
                                                     tests/cloud/test_federation_saml.py::test_documents_that_are_meant_to_hurt
  passwords: guesses, names that are queries         tests/cloud/test_iam_passwords.py::test_guesses_are_slowed_down_and_forgotten
                                                     tests/cloud/test_attacks_sessions.py::test_a_name_is_no_query
                                                     tests/cloud/test_attacks_sessions.py::test_a_sign_in_cannot_choose_its_user
                                                     tests/directory/test_sign_in.py::test_every_refusal_says_the_same
"""  # noqa: E501

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_attack_has_a_test() -> None:
    places = re.findall(r"(tests/[\w/]+\.py)::(\w+)", __doc__ or "")
    assert len(places) > 90
    missing = [f"{path}::{name}" for path, name in places if f"\ndef {name}(" not in _text(path)]
    assert not missing, "\n".join(missing)


def test_every_attack_is_listed() -> None:
    """At least each file of attacks stands in the list."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "cloud").glob("test_attacks_*.py")}
    assert files <= set(re.findall(r"tests/[\w/]+\.py", __doc__ or ""))


def _text(path: str) -> str:
    file = ROOT / path
    return file.read_text("utf-8") if file.exists() else ""
