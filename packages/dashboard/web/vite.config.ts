import tailwindcss from "@tailwindcss/vite"
import react from "@vitejs/plugin-react"
import { defineConfig, type Plugin } from "vite"

/** A dashboard that runs, whose API the sources speak to while they are worked on. */
const running = new URL(process.env["CAPSTAN_API"] ?? "http://127.0.0.1:3000/capstan")

/** What the server does when it serves the page. */
const atRoot: Plugin = {
  name: "capstan-base",
  apply: "serve",
  transformIndexHtml: (html) => html.replace("<head>", "<head><base href=\"/\">")
}

/** The page is under a path that is known when it is mounted, so it names nothing but relatively. */
export default defineConfig({
  base: "./",
  plugins: [react(), tailwindcss(), atRoot],
  server: {
    proxy: {
      "/api": {
        target: running.origin,
        changeOrigin: true,
        headers: { origin: running.origin },
        rewrite: (path) => `${running.pathname.replace(/\/$/, "")}${path}`
      }
    }
  },
  build: {
    outDir: "../page",
    emptyOutDir: true,
    target: "es2022",
    manifest: "manifest.json",
    // No script stands in the HTML and none is made of text: the policy allows neither.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false
  }
})
