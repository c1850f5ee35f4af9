"""Events as API Gateway sends them from an HTTP API with payload format 1.0.

The shape is that of AWS's documentation, "Create AWS Lambda proxy integrations for HTTP APIs", format 1.0.
"""

import json
from typing import Any

SOURCE_IP = "203.0.113.9"


def http_event(method: str, path: str, body: Any = None, source_ip: str = SOURCE_IP, **changes: Any) -> dict[str, Any]:
    """Return an event; `body` is sent as JSON, and `changes` replace whole entries of the event."""
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "host": "abc123.execute-api.eu-west-1.amazonaws.com",
        "origin": "https://page.example",
        "user-agent": "Mozilla/5.0",
        "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        # The client wrote the first entry; the gateway appended the second.
        "x-forwarded-for": f"6.6.6.6, {source_ip}",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    return {
        "version": "1.0",
        "resource": "/api/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "abc123",
            "extendedRequestId": "request-id",
            "httpMethod": method,
            "identity": {"sourceIp": source_ip, "userAgent": "Mozilla/5.0", "cognitoIdentityId": None},
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": "request-id",
            "requestTime": "04/Mar/2026:19:15:17 +0000",
            "requestTimeEpoch": 1772651717000,
            "resourceId": None,
            "resourcePath": "/api/{proxy+}",
            "stage": "$default",
        },
        "pathParameters": {"proxy": path.removeprefix("/api/")},
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    } | changes


SCHEDULED_EVENT = {
    "version": "0",
    "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-12-30T18:44:49Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:events:eu-west-1:123456789012:rule/SampleRule"],
    "detail": {},
}
