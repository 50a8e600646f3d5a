"""The derived models as plain SQL, and the small runner that builds and tests them."""
