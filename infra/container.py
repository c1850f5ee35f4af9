"""The whole product for Gunicorn in a container: page and API on one address, S3 and Redis elsewhere."""

import sys
from dataclasses import replace
from pathlib import Path

from botocore.exceptions import BotoCoreError
from limits.errors import ConfigurationError

from infra.page import with_page
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore

PAGE = Path("page")  # in the image's working directory, from its Dockerfile

try:
    config = Config.from_env()
    # The default is the page's address if the container's port is published under the same number.
    config = replace(config, page_origin=config.page_origin or f"http://127.0.0.1:{config.port}")
    store = TempStore.connect(config)
    app = with_page(create_app(config, store), config, PAGE)
except (ValueError, ConfigurationError, BotoCoreError) as error:
    sys.exit(f"Pinch cannot start: {error}")
