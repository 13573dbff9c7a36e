"""autoresearch: the experiment ratchet, enforced."""

__version__ = "0.1.0"
