// The fixed application: dashboard and wizard share one connection.

import { BotCreationWizard } from "../components/bot-creation-wizard";
import { Dashboard } from "../components/dashboard";
import { show } from "../show";

show(
  <main>
    <Dashboard />
    <BotCreationWizard />
  </main>,
);
