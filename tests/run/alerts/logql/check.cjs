// Read a JSON list of LogQL queries from stdin, and print how many syntax errors each one has.
const { parser } = require("@grafana/lezer-logql");
const queries = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const errors = (query) => {
  let count = 0;
  parser.parse(query).iterate({ enter: (node) => { count += node.type.isError ? 1 : 0; } });
  return count;
};
console.log(JSON.stringify(queries.map(errors)));
