"""Administration: Mallee's own service (``mallee``), by which administrators run the cloud, and AWS's Service Quotas.

The service's model is in ``model/`` in botocore's own format, so that any AWS client that is shown the folder calls it.
"""

from pathlib import Path

MODELS = Path(__file__).resolve().parent / "model"
"""What AWS_DATA_PATH names."""
