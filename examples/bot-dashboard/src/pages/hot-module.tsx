// A module-level socket, in a file of its own that the page below loads again as a hot reload does.

import { io } from "socket.io-client";
import { backendUrl, options } from "../services/session";

export const socket = io(backendUrl, options());
