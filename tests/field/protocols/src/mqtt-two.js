import mqtt from "mqtt";

const options = { username: "ann", password: "not-to-be-shown" };

function openList() {
  const client = mqtt.connect(`ws://${location.host}/mqtt`, options);
  client.subscribe("yard/moves");
}

function openBadge() {
  const client = mqtt.connect(`ws://${location.host}/mqtt`, options);
  client.subscribe("yard/gates");
}

openList();
openBadge();
