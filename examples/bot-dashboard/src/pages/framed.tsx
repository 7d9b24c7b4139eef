// The fixed application in an iframe, from another origin when the address says so (frame=URL).

import { show } from "../show";

const frame = new URLSearchParams(location.search).get("frame") ?? `fixed.html${location.search}`;

show(<iframe title="application" src={frame} width="800" height="400" />);
