"""Products."""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.customers import differing
from tests.stripe_peer.events import emit
from tests.stripe_peer.limits import merged
from tests.stripe_peer.lines import refuse_unserved
from tests.stripe_peer.refusals import wrong
from tests.stripe_peer.routes import serves
from tests.stripe_peer.searches import search
from tests.stripe_peer.shelves import Thing
from tests.stripe_peer.world import Call, World

_URL = "/v1/products"
_PLAIN = ("active", "description", "statement_descriptor", "tax_code", "unit_label", "url", "shippable")


def new_product(world: World, sent: dict[str, Any], livemode: bool) -> Thing:
    """Raises: Refusal, when its own id is taken."""
    name = sent.get("id") or world.products.new_id()
    if name in world.products:
        raise wrong(f"Product already exists: {name}", "id", "resource_already_exists")
    product: Thing = {
        "id": name,
        "object": "product",
        **dict.fromkeys(_PLAIN),
        "active": True,
        "created": world.now(),
        "default_price": None,
        "images": sent.get("images", []),
        "livemode": livemode,
        "marketing_features": sent.get("marketing_features", []),
        "metadata": merged({}, sent.get("metadata")),
        "name": sent["name"],
        "package_dimensions": None,
        "type": "service",
        "updated": world.now(),
        **{field: sent[field] for field in _PLAIN if field in sent},
    }
    world.products.put(product)
    emit(world, "product.created", product)
    return product


@serves("post", _URL)
def created(world: World, call: Call) -> Thing:
    refuse_unserved(call.params, "default_price_data")
    return new_product(world, call.params, call.livemode)


@serves("get", _URL + "/{id}")
def retrieved(world: World, call: Call) -> Thing:
    return world.products.get(call.ids[0], "id")


@serves("post", _URL + "/{id}")
def updated(world: World, call: Call) -> Thing:
    product = world.products.get(call.ids[0], "id")
    new = {**product, "metadata": merged(product["metadata"], call.get("metadata")), "updated": world.now()}
    for field in (*_PLAIN, "name", "default_price"):
        if field in call.params:
            new[field] = call.params[field] if call.params[field] != "" else None
    if "default_price" in call.params:
        world.prices.named(call.params["default_price"], "default_price")
    previous = differing(product, new)
    product.update(new)
    world.products.put(product)
    emit(world, "product.updated", product, previous)
    return product


@serves("delete", _URL + "/{id}")
def deleted(world: World, call: Call) -> Thing:
    product = world.products.get(call.ids[0], "id")
    if world.prices.having("product", product["id"]):
        raise wrong(
            "This product cannot be deleted because it has one or more user-created prices; archive it instead.", "id"
        )
    world.products.remove(product["id"])
    emit(world, "product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


@serves("get", _URL)
def listed(world: World, call: Call) -> Thing:
    if "ids" in call.params:
        found = [world.products.get(name) for name in call.params["ids"] if name in world.products]
        return {"object": "list", "data": found, "has_more": False, "url": _URL}
    return world.products.page(call.params, _URL, active=call.get("active"))


@serves("get", _URL + "/search")
def searched(world: World, call: Call) -> Thing:
    return search(world, world.products, call, _URL + "/search")
