import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { Empty, Page } from "./components/panel.tsx";
import { Shell } from "./components/shell.tsx";
import { readCallFilter } from "./screens/call-filter.ts";
import { Overview } from "./screens/overview.tsx";
import { readOverviewQuestion } from "./screens/overview-question.ts";
import { readSessionsQuestion } from "./screens/sessions-question.ts";
import { readUsageQuestion } from "./screens/usage-question.ts";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

function NotFound() {
  return (
    <Page title="No such page">
      <Empty title="Nothing is at this address.">The menu leads to everything there is.</Empty>
    </Page>
  );
}

const overview = createRoute({ getParentRoute: () => root, path: "/", validateSearch: readOverviewQuestion, component: Overview });
const budgets = createRoute({
  getParentRoute: () => root,
  path: "/budgets",
  component: lazyRouteComponent(() => import("./screens/budgets.tsx"), "Budgets"),
});
const budget = createRoute({
  getParentRoute: () => root,
  path: "/budgets/$name",
  component: lazyRouteComponent(() => import("./screens/budget.tsx"), "BudgetDetail"),
});
const calls = createRoute({
  getParentRoute: () => root,
  path: "/calls",
  validateSearch: readCallFilter,
  component: lazyRouteComponent(() => import("./screens/calls.tsx"), "Calls"),
});
const call = createRoute({
  getParentRoute: () => root,
  path: "/calls/$id",
  component: lazyRouteComponent(() => import("./screens/call.tsx"), "CallDetail"),
});
const sessions = createRoute({
  getParentRoute: () => root,
  path: "/sessions",
  validateSearch: readSessionsQuestion,
  component: lazyRouteComponent(() => import("./screens/sessions.tsx"), "Sessions"),
});
const session = createRoute({
  getParentRoute: () => root,
  path: "/sessions/$of/$id",
  component: lazyRouteComponent(() => import("./screens/session.tsx"), "SessionDetail"),
});
const usage = createRoute({
  getParentRoute: () => root,
  path: "/usage",
  validateSearch: readUsageQuestion,
  component: lazyRouteComponent(() => import("./screens/usage.tsx"), "Usage"),
});
const alerts = createRoute({
  getParentRoute: () => root,
  path: "/alerts",
  component: lazyRouteComponent(() => import("./screens/alerts.tsx"), "Alerts"),
});
const requests = createRoute({
  getParentRoute: () => root,
  path: "/requests",
  component: lazyRouteComponent(() => import("./screens/requests.tsx"), "Requests"),
});
const handovers = createRoute({
  getParentRoute: () => root,
  path: "/conversations",
  component: lazyRouteComponent(() => import("./screens/handovers.tsx"), "Handovers"),
});
const handover = createRoute({
  getParentRoute: () => root,
  path: "/conversations/$id",
  component: lazyRouteComponent(() => import("./screens/handover.tsx"), "HandoverDetail"),
});
const keys = createRoute({
  getParentRoute: () => root,
  path: "/keys",
  component: lazyRouteComponent(() => import("./screens/keys.tsx"), "Keys"),
});
const people = createRoute({
  getParentRoute: () => root,
  path: "/people",
  component: lazyRouteComponent(() => import("./screens/people.tsx"), "People"),
});
const prices = createRoute({
  getParentRoute: () => root,
  path: "/prices",
  component: lazyRouteComponent(() => import("./screens/prices.tsx"), "Prices"),
});
const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  component: lazyRouteComponent(() => import("./screens/settings.tsx"), "Settings"),
});
const me = createRoute({
  getParentRoute: () => root,
  path: "/me",
  component: lazyRouteComponent(() => import("./screens/my-budget.tsx"), "MyBudget"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    overview,
    budgets,
    budget,
    calls,
    call,
    sessions,
    session,
    usage,
    alerts,
    requests,
    handovers,
    handover,
    keys,
    people,
    prices,
    settings,
    me,
  ]),
  defaultPreload: "intent",
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
