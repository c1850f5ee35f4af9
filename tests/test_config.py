import re
from pathlib import Path

import pytest

from optimizer.config import Config


def test_no_environment_is_the_defaults() -> None:
    assert Config.from_env({}) == Config()


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert Config.from_env({"S3_ENDPOINT_URL": "", "PORT": ""}) == Config()


def test_every_name_of_the_contract_is_read() -> None:
    config = Config.from_env(
        {
            "PORT": "8080",
            "RATE_LIMIT": "5 per 10 seconds",
            "RATELIMIT_STORAGE_URI": "redis://localhost",
            "RETENTION_MINUTES": "12",
            "TEMP_BUCKET": "bucket",
            "S3_ENDPOINT_URL": "http://inside",
            "S3_PUBLIC_ENDPOINT_URL": "http://outside",
            "PAGE_ORIGIN": "https://page.example",
            "AWS_REGION": "eu-west-1",
        }
    )

    assert config == Config(
        port=8080,
        rate_limit="5 per 10 seconds",
        ratelimit_storage_uri="redis://localhost",
        retention_minutes=12,
        temp_bucket="bucket",
        s3_endpoint_url="http://inside",
        s3_public_endpoint_url="http://outside",
        page_origin="https://page.example",
        aws_region="eu-west-1",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "five"),
        ("PORT", "\N{ARABIC-INDIC DIGIT FIVE}"),
        ("PORT", "9" * 5000),
        ("RETENTION_MINUTES", "0"),
        ("RETENTION_MINUTES", "-3"),
        ("RETENTION_MINUTES", "1441"),
        ("RATE_LIMIT", "a lot"),
        ("RATE_LIMIT", "0 per minute"),
        ("RATE_LIMIT", "5 per minute; 10 per hour"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must .*\.$"):
        Config.from_env({name: value})


@pytest.mark.parametrize(
    ("rate_limit", "per_minute"),
    [("30 per minute", 30), ("2 per second", 120), ("100 per hour", 1), ("1 per hour", 1), ("4 per 6 second", 40)],
)
def test_requests_per_minute_says_what_the_page_may_count_on(rate_limit: str, per_minute: int) -> None:
    assert Config(rate_limit=rate_limit).requests_per_minute == per_minute


def test_nothing_else_reads_what_a_deployment_decides() -> None:
    package = Path(__file__).parent.parent / "functions"

    read = {
        path.name: set(re.findall(r'(?<=")_?[A-Z][A-Z_]+(?=")', text))
        for path in package.rglob("*.py")
        if "os.environ" in (text := path.read_text())
    }

    assert read.pop("config.py") >= set()
    assert read == {
        "handlers.py": {"_HANDLER"},
        "worker.py": {"PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "OPENBLAS_NUM_THREADS", "GLIBC_TUNABLES"},
    }
