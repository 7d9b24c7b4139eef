// A chat whose room is part of the URL: the documented use of useWebSocket with a reactive URL.
import { useWebSocket } from "@vueuse/core";
import { computed, createApp, h, ref } from "vue";

const Chat = {
  setup() {
    const room = ref("one");
    const url = computed(() => `ws://${location.host}/feed?room=${room.value}`);
    const { status } = useWebSocket(url, { autoReconnect: { delay: 500 } });
    return () => [
      h("button", { id: "other", onClick: () => (room.value = "two") }, "other room"),
      h("p", `${room.value}: ${status.value}`),
    ];
  },
};

createApp(Chat).mount("#app");
