"""What the native API returns, as objects; `raw` keeps every field as it came."""

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional


class _Shape:
    @classmethod
    def of(cls, raw):
        """Takes the known fields; a newer server may send more, which stay in `raw`."""
        known = {f.name for f in fields(cls)} - {"raw"}
        return cls(**{name: raw[name] for name in known if name in raw}, raw=raw)


@dataclass
class Context(_Shape):
    """A conversation."""

    id: str = ""
    title: Optional[str] = None
    user: Optional[str] = None
    status: str = "open"
    created_at: str = ""
    last_updated: str = ""
    revision: int = 0
    system: Any = None
    settings: Dict[str, Any] = field(default_factory=dict)
    state: Dict[str, Any] = field(default_factory=dict)
    metadata: Dict[str, Any] = field(default_factory=dict)
    size: Dict[str, Any] = field(default_factory=dict)
    open_turn: Any = None
    expires_at: Optional[str] = None
    raw: Dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class Message(_Shape):
    """One message of a conversation; `content` is a text or a list of blocks."""

    seq: int = 0
    role: str = ""
    content: Any = ""
    timestamp: Optional[str] = None
    status: str = "complete"
    model: Optional[str] = None
    tokens: Optional[int] = None
    meta: Dict[str, Any] = field(default_factory=dict)
    raw: Dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class Turn(_Shape):
    """A question that was answered."""

    context_id: str = ""
    turn: int = 0
    revision: int = 0
    model: Optional[str] = None
    provider: Optional[str] = None
    offline: bool = False
    text: str = ""
    message: Dict[str, Any] = field(default_factory=dict)
    stop_reason: Optional[str] = None
    usage: Dict[str, Any] = field(default_factory=dict)
    processing_time_ms: Optional[float] = None
    window: Dict[str, Any] = field(default_factory=dict)
    state: Dict[str, Any] = field(default_factory=dict)
    replayed: bool = False
    raw: Dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass
class Page:
    """A part of a list; `next_cursor` asks for the part after it and is `None` at the end."""

    items: List[Any]
    next_cursor: Optional[str] = None

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)
