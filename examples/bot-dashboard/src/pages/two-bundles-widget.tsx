// The widget of the page above: another script, another copy of the client.

import { openSocket } from "../services/openSocket";

export const socket = openSocket();
