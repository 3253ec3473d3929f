"""Why a query got its name, and which sites distinguish a taxon from its sisters."""
