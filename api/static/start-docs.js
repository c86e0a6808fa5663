// Starts Swagger UI on templates/swagger_ui.html. In its own file, since the content security policy forbids inline scripts.
SwaggerUIBundle({
  url: document.getElementById("routes").dataset.document,
  dom_id: "#routes",
  validatorUrl: null, // otherwise the page sends the document to swagger.io
  defaultModelsExpandDepth: 0, // collapses the list of all schemas; the routes show theirs
});
