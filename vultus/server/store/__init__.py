"""Access data: tenants, applications, quotas, jobs; SQLite beside the gallery, or PostgreSQL."""

from vultus.server.store.database import Store, open_store
from vultus.server.store.keys import Application, Keys, NewApplication, Scope
from vultus.server.store.tokens import Tokens

__all__ = ["Application", "Keys", "NewApplication", "Scope", "Store", "Tokens", "open_store"]
