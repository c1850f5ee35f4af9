"""How Gunicorn runs infra.container: `gunicorn --config infra/gunicorn.conf.py infra.container:app`.

The rate limit counts REMOTE_ADDR, the address that connects. Behind a reverse proxy that is the proxy's for everybody,
and forwarded_allow_ips does not change it: from what a proxy forwards, Gunicorn takes the scheme, not the address. So
clients have to reach the container directly, or the proxy has to pass their address on below HTTP (proxy_protocol).
"""  # noqa: N999  # Gunicorn's own name for the file

import gc
import os
import sys
from threading import Event, Thread
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# Imported here, the app is built once, before there are workers: an option that cannot be used ends the container with
# one sentence, where each worker would fail, be replaced and fail again.
from infra import container
from infra.sweeper import sweep_often
from optimizer.telemetry import JsonFormatter
from optimizer.worker import workers as workers_of_images

bind = f"0.0.0.0:{container.config.port}"  # in the container's own network; the deployer chooses what to publish
workers = int(os.environ.get("WEB_CONCURRENCY") or 4)
threads = 8  # one optimizes, the others answer what is quick meanwhile
timeout = 60
graceful_timeout = 30  # a request on Lambda may take 28
# Gunicorn's own lines go where ours go, in the same form, which holds no addresses.
logconfig_dict = {
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "optimizer": {"level": "INFO"},
    },
}
gc.freeze()  # what is imported is shared with the workers, as long as no collection writes to it
control_socket_disable = True  # nobody uses it, and the root file system may be read-only

if workers > 1 and container.config.ratelimit_storage_uri.startswith("memory:"):
    # One worker would do, but then a forgotten Redis would show as a slow service and not as a sentence.
    sys.exit(
        f"Pinch cannot start: each of {workers} workers would count requests for itself. "
        "Set RATELIMIT_STORAGE_URI=redis://host:6379, or WEB_CONCURRENCY=1."
    )


class worker_class(ThreadWorker):  # type: ignore[misc]  # noqa: N801  # Gunicorn's name of the option
    def set_accept_enabled(self, enabled: bool) -> None:
        """Close the listeners when stopping: a new connection would wait in vain for the last request to end."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()


def post_worker_init(_worker: Any) -> None:
    """Sweep beside each worker, since there is no schedule here, and start what its images are worked on in."""
    workers_of_images.start()
    Thread(target=sweep_often, args=(container.store, container.config, Event()), daemon=True).start()
