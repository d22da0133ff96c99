"""Sends log records with OpenTelemetry's own SDK: URL TOKEN COUNT. Packages: scripts/otlp-exporter.txt."""
import logging
import sys

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

url, token, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
provider = LoggerProvider(resource=Resource.create({"service.name": "payments", "host.name": "node-7"}))
exporter = OTLPLogExporter(endpoint=url, headers={"authorization": "Bearer " + token}, timeout=20)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
log = logging.getLogger("bank.auth")
log.addHandler(LoggingHandler(logger_provider=provider))
log.setLevel(logging.DEBUG)
log.propagate = False
for n in range(count):
    attributes = {"custody.act": "AUTH.LOGIN.FAIL", "user.id": str(10000 + n), "client.address": "192.168.3.5",
                  "attempt": n, "obj.table": "users", "tags": ["a", "b"], "ratio": 0.5}
    log.warning("wrong password", extra=attributes)
provider.force_flush()
provider.shutdown()
