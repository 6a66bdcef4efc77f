"""The views of the app and the pages that open on top of them."""
