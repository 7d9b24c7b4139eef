// What the worker of the page above runs.

import { openSocket } from "../services/openSocket";

export const socket = openSocket();
