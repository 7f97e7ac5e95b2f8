"""What can go wrong with the network between the lab's hosts. Mixed into Lab."""


class Faults:
    """Cables are cut on the switch's side; everything finer is a rule on the switch, between two of its ports."""

    def __init__(self):
        self._drops = {}  # (from host, to host) -> percent of the frames that are lost

    def cut(self, name):
        self.on_switch("ip", "link", "set", self[name].port, "down")

    def heal(self, name):
        self.on_switch("ip", "link", "set", self[name].port, "up")

    def cut_one_way(self, source, target):
        """What `source` sends does not reach `target`; the other way is whole."""
        self.lose(100, [source], [target], both_ways=False)

    def cut_between(self, left, right):
        """A partition: nobody of `left` reaches anybody of `right`; within a side all is well."""
        self.lose(100, left, right)

    def lose(self, percent, sources=None, targets=None, both_ways=True):
        """Drops that share of the frames from each of `sources` to each of `targets` (every host if None)."""
        sources = self.names if sources is None else sources
        targets = self.names if targets is None else targets
        for source in sources:
            for target in targets:
                if source != target:
                    self._drops[source, target] = percent
                    if both_ways:
                        self._drops[target, source] = percent
        self._apply()

    def heal_all(self):
        self._drops.clear()
        self._apply()
        for name in self.names:
            self.heal(name)

    def _apply(self):
        rules = ["table bridge faults", "delete table bridge faults"]
        if any(self._drops.values()):
            rules += ["table bridge faults {", "chain forward {", "type filter hook forward priority 0; policy accept;"]
            for (source, target), percent in sorted(self._drops.items()):
                match = f'iifname "{self[source].port}" oifname "{self[target].port}"'
                if percent >= 100:
                    rules.append(f"{match} drop")
                elif percent > 0:
                    rules.append(f"{match} numgen random mod 10000 < {int(percent * 100)} drop")
            rules += ["}", "}"]
        self.on_switch("nft", "-f", "-", text="\n".join(rules) + "\n")
