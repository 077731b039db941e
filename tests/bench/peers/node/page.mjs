// The page around every answer, as large as that of our steps.
export const page = (html) => `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sessions in C++</title>
</head>
<body>
${html}
</body>
</html>
`;

const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export const escape = (text) => text.replace(/[&<>"']/g, (character) => entities[character]);
