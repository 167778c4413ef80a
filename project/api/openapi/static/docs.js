// Tokens are not stored: reloading the page discards them.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  // The schemas are folded, because rendering them takes long on a phone.
  defaultModelsExpandDepth: 0,
  // Otherwise Swagger UI sends the document to an external validator.
  validatorUrl: null,
});
