import { useEffect } from "react";
import { createConsumer } from "@rails/actioncable";
import { show } from "./_views.jsx";

const consumer = createConsumer("/cable");
consumer.connect();

let visits = 0;

function View() {
  useEffect(() => {
    consumer.subscriptions.create({ channel: "RoomChannel", room: (visits += 1) }, { received() {} });
  }, []);
  return <p>view</p>;
}

show(View);
