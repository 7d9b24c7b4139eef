// Two parts of a page that listen to different events of one stream, as documented.
import { createRoot } from "react-dom/client";
import { useEventSource } from "remix-utils/sse/react";

const Clock = () => <p>time: {useEventSource("/events", { event: "time" })}</p>;
const Users = () => <p>users: {useEventSource("/events", { event: "users" })}</p>;

createRoot(document.getElementById("app")).render(
  <>
    <Clock />
    <Users />
  </>,
);
