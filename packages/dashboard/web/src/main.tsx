import { QueryClient, QueryClientProvider } from "@tanstack/react-query"
import { RouterProvider } from "@tanstack/react-router"
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { ApiFailure } from "./api.ts"
import * as Live from "./live.ts"
import { makeRouter } from "./router.tsx"
import "./theme.css"

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What is refused stays refused; a store that is away comes back.
      retry: (failures, error) => error instanceof ApiFailure && error.isAway && failures < 1,
      staleTime: 500,
      refetchOnWindowFocus: true,
      networkMode: "always"
    },
    mutations: { networkMode: "always" }
  }
})

Live.start(queries)

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={makeRouter()} />
    </QueryClientProvider>
  </StrictMode>
)
