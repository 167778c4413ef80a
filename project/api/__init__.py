"""The resources that the service offers over HTTP."""
