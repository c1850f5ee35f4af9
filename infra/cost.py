"""Computes what the product costs on AWS, from docs/benchmark.json and the prices below; `make format` writes it into
docs/deploy.md.
"""

import json
from pathlib import Path
from typing import Any

from infra.bundle import built_page
from infra.page import read_files
from infra.resources import load_template

RESULTS = Path(__file__).parent.parent / "docs" / "benchmark.json"

# On-demand list prices of us-east-1 in dollars, as of this date. Free tiers are left out.
PRICES_OF = "2026-11-23"
LAMBDA_GB_SECOND = 0.0000133334  # arm64
LAMBDA_REQUEST = 0.20e-6
HTTP_API_REQUEST = 1.00e-6
S3_PUT = 5e-6  # also POST and LIST; DELETE is free
S3_GET = 0.4e-6  # also HEAD
DYNAMODB_WRITE = 0.625e-6
DYNAMODB_READ = 0.125e-6  # of up to 4 KB, strongly consistent
TRANSFER_GB = 0.09  # from S3 to the internet; the other direction is free
LOG_GB = 0.50

# One image: presign, upload, optimize once, download and discard, with all calls that these cause.
REQUESTS = 3
COUNTED_REQUESTS = 2
PUTS = 3  # the upload, the result, the listing of a discard
GETS = 5  # HEAD source, HEAD result, GET source, HEAD source after saving, the download
LOG_BYTES = 3 * 700
# Assumed, since it can only be measured on AWS: calls to S3 and DynamoDB in the region, and the two short requests.
SECONDS_BESIDE_THE_PIPELINE = 0.15
SWEEPS_A_MONTH = 30 * 24 * 12
# The seconds of a sweep are assumed, too.
SWEEP_SECONDS, SWEEP_GB, SWEEP_LISTS = 0.2, 0.5, 2


def dollars_per_1000(seconds: float, result_bytes: int) -> float:
    """Return the cost of a thousand images, in dollars. Each takes the pipeline so many seconds and results in so many
    bytes.
    """
    memory_gb: float = load_template()["Parameters"]["MemorySize"]["Default"] / 1024
    image = (
        (seconds + SECONDS_BESIDE_THE_PIPELINE) * memory_gb * LAMBDA_GB_SECOND
        + REQUESTS * (LAMBDA_REQUEST + HTTP_API_REQUEST)
        + COUNTED_REQUESTS * (DYNAMODB_WRITE + DYNAMODB_READ)
        + PUTS * S3_PUT
        + GETS * S3_GET
        + result_bytes / 1e9 * TRANSFER_GB
        + LOG_BYTES / 1e9 * LOG_GB
    )
    return image * 1_000


def idle_dollars() -> float:
    """Return the cost in dollars of a month without visitors, without storing the page: the sweep's runs."""
    return SWEEPS_A_MONTH * (LAMBDA_REQUEST + SWEEP_SECONDS * SWEEP_GB * LAMBDA_GB_SECOND + SWEEP_LISTS * S3_PUT)


def table(results: dict[str, Any]) -> str:
    """Return the table of docs/deploy.md, from what `make bench` kept."""
    rows = [
        "| source | pipeline | result | 1 000 images | 10 000 images a month |",
        "|---|---|---|---|---|",
    ]
    for image in results["images"]:
        cost = dollars_per_1000(image["seconds"], image["bytes"])
        month = 10 * cost + idle_dollars()
        rows.append(
            f"| {image['megapixels']} MP JPEG, {image['source_bytes'] / 1e6:.1f} MB | {image['seconds']:.2f} s "
            f"| {image['bytes'] / 1e6:.1f} MB | ${cost:.2f} | ${month:.2f} |"
        )
    return "\n".join(
        [
            *rows,
            "",
            f"Measured on {results['date']} ({results['machine']}, one core), as if Lambda's arm64 were as fast, with "
            f"{SECONDS_BESIDE_THE_PIPELINE} s assumed for all but the pipeline. Prices of us-east-1 as known on "
            f"{PRICES_OF}, named in `infra/cost.py`, without the free tiers. A month without visitors costs "
            f"${idle_dollars():.2f}, for the sweeps, and the storage of a page of {_page_megabytes():.1f} MB. Alarms "
            "and metrics are not counted: CloudWatch gives ten of each to every account.",
        ]
    )


def _page_megabytes() -> float:
    with built_page() as folder:
        return sum(map(len, read_files(folder).values())) / 1e6


def kept_results() -> dict[str, Any]:
    """Return the results that the last `make bench` stored."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results
