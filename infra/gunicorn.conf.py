"""How Gunicorn runs infra.container: `gunicorn --config infra/gunicorn.conf.py infra.container:app`.

The rate limit counts by REMOTE_ADDR, the address that connects. Behind a reverse proxy this is the proxy's address for
every client. forwarded_allow_ips does not change that: Gunicorn takes the scheme from the proxy's headers, but not the
address. So clients must reach the container directly, or the proxy must pass their address on below HTTP
(proxy_protocol).
"""  # noqa: N999  # Gunicorn's own name for the file

import gc
import os
import sys
from threading import Event, Thread
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# The import here builds the app once, before there are workers. So an unusable option ends the container with one
# sentence. Otherwise each worker would fail, be replaced and fail again.
from infra import container
from infra.sweeper import sweep_often
from optimizer.telemetry import JsonFormatter
from optimizer.worker import workers as workers_of_images

bind = f"0.0.0.0:{container.config.port}"  # in the container's own network; the deployer decides what to publish
workers = int(os.environ.get("WEB_CONCURRENCY") or 4)
threads = 8  # one optimizes; the others answer quick requests meanwhile
timeout = 60
graceful_timeout = 30  # a request on Lambda may take 28
# Gunicorn's own log lines go to the same place as ours, in the same form, without addresses.
logconfig_dict = {
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "optimizer": {"level": "INFO"},
    },
}
gc.freeze()  # imported objects are shared with the workers as long as no collection writes to them
control_socket_disable = True  # nobody uses it, and the root file system may be read-only

if workers > 1 and container.config.ratelimit_storage_uri.startswith("memory:"):
    # Falling back to one worker would hide a forgotten Redis: the service would only be slow.
    sys.exit(
        f"Pinch cannot start: each of {workers} workers would count requests for itself. "
        "Set RATELIMIT_STORAGE_URI=redis://host:6379, or WEB_CONCURRENCY=1."
    )


class worker_class(ThreadWorker):  # type: ignore[misc]  # noqa: N801  # Gunicorn's name of the option
    def set_accept_enabled(self, enabled: bool) -> None:
        """Close the listeners when stopping. A new connection would wait in vain until the last request ends."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()


def post_worker_init(_worker: Any) -> None:
    """Start the nursery for the worker's images, and a thread that sweeps, since there is no schedule here."""
    workers_of_images.start()
    Thread(target=sweep_often, args=(container.store, container.config, Event()), daemon=True).start()
