// The page of a training: it asks its source, and shows the answers.

import { mount } from "svelte";
import App from "./App.svelte";
import Failed from "./parts/Failed.svelte";
import { given } from "./source";
import "./style.css";

const target = document.getElementById("pellucid") ?? document.body;
target.textContent = "";
given()
  .then(async (source) => {
    const run = await source.ask("run", {});
    mount(App, { target, props: { source, run } });
  })
  .catch((why: unknown) => {
    mount(Failed, { target, props: { text: why instanceof Error ? why.message : String(why) } });
  });
