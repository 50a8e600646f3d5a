"""Outgoing connections: all requests are sent by `Connection`, so that all use the same proxies and certificates.

The variables are the usual ones, from the environment or, where a process has none (cron, systemd), from `.env`:
http_proxy, https_proxy, all_proxy, no_proxy, in lower or upper case; SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE,
CURL_CA_BUNDLE. The user name and password of a proxy are sent to the proxy and shown nowhere.
"""

from pipelines.network.connection import Connection, ConnectionFailure, Route

__all__ = ["Connection", "ConnectionFailure", "Route"]
