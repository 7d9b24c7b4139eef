import mqtt from "mqtt";

const client = mqtt.connect(`ws://${location.host}/mqtt`, { username: "ann", password: "not-to-be-shown" });
client.subscribe(["yard/moves", "yard/gates"]);
client.on("message", (topic, payload) => { document.title = String(payload); });
