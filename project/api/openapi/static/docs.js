// Tokens are not stored: reloading the page discards them.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  // Otherwise Swagger UI sends the document to an external validator.
  validatorUrl: null,
});
