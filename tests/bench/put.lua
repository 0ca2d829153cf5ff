-- SPDX-License-Identifier: LGPL-2.1-or-later
-- wrk: the request that the service sends
wrk.method = "PUT"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Idempotency-Key"] = '"0123456789abcdef0123456789abcdef-12345"'
wrk.body = os.getenv("BENCH_BODY")
