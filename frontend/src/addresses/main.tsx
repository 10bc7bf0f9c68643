/** Entry of the page of addresses. */
import "../style/font.css";
import "maplibre-gl/dist/maplibre-gl.css";
import "../style/base.css";
import "../style/desk.css";
import "./addresses.css";
import { render } from "solid-js/web";
import { App } from "./app.view";

render(() => <App />, document.getElementById("app") as HTMLElement);
