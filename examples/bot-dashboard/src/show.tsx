// Puts a page on the screen, in StrictMode when the address says strict=1.

import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { strictMode } from "./services/session";

export function show(page: ReactNode): void {
  createRoot(document.getElementById("root")!).render(strictMode ? <StrictMode>{page}</StrictMode> : page);
}
