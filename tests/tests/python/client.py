"""Uses the client that openapi-python-client made: logs in, starts a pipeline, waits, reads the result and the log."""

import sys
import time

from fastflow_client import AuthenticatedClient, Client
from fastflow_client.api.access import login
from fastflow_client.api.pipelines import start_pipeline
from fastflow_client.api.runs import get_run, get_run_logs
from fastflow_client.models import Login, LoginAnswer, Problem, Run, StartRun

base, username, password = sys.argv[1:]

refused = login.sync(client=Client(base_url=base), body=Login(username=username, password="wrong"))
assert isinstance(refused, Problem) and refused.code == "invalid_credentials", refused

answer = login.sync(client=Client(base_url=base), body=Login(username=username, password=password))
assert isinstance(answer, LoginAnswer), answer
client = AuthenticatedClient(base_url=base, token=answer.access_token)

body = StartRun.from_dict({"parameters": {"WHOM": "world"}, "env_vars": {}})
run = start_pipeline.sync("hello", client=client, body=body)
assert isinstance(run, Run), run

deadline = time.monotonic() + 60
while run.status not in ("SUCCESS", "FAILED"):
    assert time.monotonic() < deadline, run
    time.sleep(0.1)
    run = get_run.sync(run.id, client=client)
    assert isinstance(run, Run), run

unknown = get_run.sync("00000000-0000-7000-8000-000000000000", client=client)
assert isinstance(unknown, Problem) and unknown.status == 404, unknown

log = get_run_logs.sync(run.id, client=client)
print(run.status, run.exit_code, str(log).strip())
