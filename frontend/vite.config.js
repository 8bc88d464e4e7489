// One classic script and one style sheet: a page that is opened from a disk can load no modules.
import { readFileSync, readdirSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** The licences of the packages of which parts are in the page, as a file beside it. */
function notices() {
  return {
    name: "notices",
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((chunk) => Object.keys(chunk.modules ?? {}));
      const found = modules.map((id) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]);
      const folders = [...new Set(found)].filter(Boolean).sort();
      const told = folders.map((folder) => {
        const facts = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
        const names = readdirSync(folder).filter((name) => /^licen[cs]e/i.test(name));
        const texts = names.map((name) => readFileSync(`${folder}/${name}`, "utf8").trim());
        return [`${facts.name} ${facts.version} (${facts.license})`, ...texts].join("\n\n");
      });
      const source = ["The page holds parts of these packages.", ...told].join("\n\n\n") + "\n";
      this.emitFile({ type: "asset", fileName: "notices.txt", source });
    },
  };
}

export default defineConfig({
  plugins: [svelte({ emitCss: true }), notices()],
  build: {
    outDir: "../src/pellucid/views/page/built",
    emptyOutDir: true,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: true,
    lib: {
      entry: "src/main.ts",
      formats: ["iife"],
      name: "PellucidPage",
      fileName: () => "page.js",
      cssFileName: "page",
    },
  },
});
