import mqtt from "mqtt";

const client = mqtt.connect(`ws://${location.host}/mqtt`, { clientId: "dashboard", reconnectPeriod: 500 });
client.subscribe("yard/moves");
client.on("message", (topic, payload) => { document.title = String(payload); });
