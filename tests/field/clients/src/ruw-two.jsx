import library from "react-use-websocket";
import { host, show } from "./Views.jsx";

const useWebSocket = library.default || library;

function Bell() {
  useWebSocket(`ws://${host}/ws/moves`);
  return null;
}

function List() {
  useWebSocket(`ws://${host}/ws/moves`);
  return null;
}

show(<><Bell /><List /></>);
