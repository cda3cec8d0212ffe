"""What programs call: REST by OpenAPI 3.1. `application` puts it together, `guard` lets in."""
