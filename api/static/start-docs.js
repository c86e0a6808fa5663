// Shows the routes on the page of templates/swagger_ui.html. A file, since the content security policy allows no script in a page.
SwaggerUIBundle({
  url: document.getElementById("routes").dataset.document,
  dom_id: "#routes",
  validatorUrl: null, // else the page shows the document to swagger.io
  defaultModelsExpandDepth: 0, // the routes show their schemas; the list of them all stays folded
});
