// Shows the API's document. A token that is entered is forgotten with the page.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: true,
  // It would be asked of a service elsewhere.
  validatorUrl: null,
});
