"use strict";

const place = document.getElementById("swagger-ui");

// Without a validator: the document goes to nobody else.
SwaggerUIBundle({ domNode: place, url: place.dataset.document, validatorUrl: null });
