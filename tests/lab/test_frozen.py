"""Who is slow is not dead; who was away for long comes back in peace."""

import os
import random
import signal
import time

from cases import Accusations, case, create, each_once, views_agree, wait_each_once
from lab import wait_for


@case(hosts=5, seconds=240)
def short_freezes_kill_nobody(lab, long):
    create(lab["h1"], "web", 10)
    wait_each_once(lab, "web", 10, 30)
    frozen = []
    with Accusations(lab) as said:
        for _ in range(50 if long else 15):
            host = random.choice(list(lab))
            time.sleep(random.uniform(0.1, 1.5))
            frozen.append((time.time(), host.name))
            host.agent.send_signal(signal.SIGSTOP)
            time.sleep(0.8)
            host.agent.send_signal(signal.SIGCONT)
        time.sleep(3)
        assert said.of("dead") == []
        heard = said.suspicions()
        # The frozen may be suspected; who wakes accuses nobody that was not frozen as well.
        for at, by, whom in heard:
            lately = {name for since, name in frozen if since <= at <= since + 3.8}
            assert by not in lately or whom in lately, (at, by, whom, frozen)
        assert any(by for _, by, _ in heard), "nobody was even suspected: nothing was tested"
    assert each_once(lab, "web", 10)


@case(hosts=3, seconds=180)
def a_starved_host_is_not_dead_and_accuses_nobody(lab, long):
    create(lab["h1"], "web", 6)
    wait_each_once(lab, "web", 6, 30)
    with Accusations(lab) as said:
        loops = lab["h2"].busy()
        try:
            time.sleep(60 if long else 20)
        finally:
            for loop in loops:
                loop.kill()
        time.sleep(3)
        assert said.of("dead") == []
        assert not [one for one in said.suspicions() if one[1] == "h2"], said.suspicions()
    assert each_once(lab, "web", 6)


@case(hosts=5, seconds=150)
def three_seconds_frozen_is_taken_over_once_at_most(lab):
    create(lab["h1"], "web", 10)
    wait_each_once(lab, "web", 10, 30)
    for name in ("h2", "h4"):
        lab[name].agent.send_signal(signal.SIGSTOP)
        time.sleep(3)
        lab[name].agent.send_signal(signal.SIGCONT)
        begun = time.monotonic()
        wait_for(lambda: views_agree(list(lab)) and each_once(lab, "web", 10), 10, "every view agrees, each slot once")
        print(f"        right again after {time.monotonic() - begun:.2f} s", flush=True)
        time.sleep(8)  # what is handed back after may move, but only make-before-break
        wait_each_once(lab, "web", 10, 10)


@case(hosts=5, seconds=200)
def a_host_frozen_for_long_ends_its_surplus(lab, long):
    create(lab["h1"], "web", 10)
    wait_each_once(lab, "web", 10, 30)
    victim = next(host for host in lab if host.engine.running("web"))
    others = lab.others(victim.name)
    victim.freeze()
    wait_each_once(lab, "web", 10, 15, others)
    time.sleep(60 if long else 15)
    victim.thaw()
    wait_each_once(lab, "web", 10, 15)
    wait_for(lambda: views_agree(list(lab)), 10)
