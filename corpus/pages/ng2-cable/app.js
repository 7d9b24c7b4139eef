// A service that subscribes to two channels, as the documentation of the library shows for one.
import { Broadcaster, Ng2Cable } from "ng2-cable";

const cable = new Ng2Cable(new Broadcaster());
cable.subscribe(`ws://${location.host}/cable`, "ChatChannel");
cable.subscribe(`ws://${location.host}/cable`, "PresenceChannel");
