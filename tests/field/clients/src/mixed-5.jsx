// one subscription with several variables: a row of a table each
import { useEffect } from "react";
import { graphql, sink } from "./Links.js";
import { show } from "./Views.jsx";

const client = graphql();
const query = "subscription Row($yard: String) { moved(yard: $yard) }";

function Row({ yard }) {
  useEffect(() => client.subscribe({ query, variables: { yard } }, sink), [yard]);
  return <li>{yard}</li>;
}

show(<ul>{["a", "b", "c", "d"].map((yard) => <Row key={yard} yard={yard} />)}</ul>);
